//! The only unsafe of this crate beside `child`: one function per system call, named after its man page, returning
//! `io::Result`.

pub(crate) mod notify;
pub(crate) mod peek;
pub(crate) mod socket;
