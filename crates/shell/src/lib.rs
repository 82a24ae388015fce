//! What a command line is: shell grammar, wrappers, and what each program's options can do.

#![forbid(unsafe_code)]
