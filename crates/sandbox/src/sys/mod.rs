//! System calls: the only unsafe code, one function per call, named after its man page, returning `io::Result`.

#[cfg(target_os = "linux")]
pub(crate) mod attack;
#[cfg(target_os = "linux")]
pub(crate) mod trial;
