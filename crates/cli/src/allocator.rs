//! The allocator of the program that is handed out, which is linked with musl: that one's own costs a start as much as everything
//! else.
//!
//! It is dlmalloc behind a lock of the standard library, which costs next to nothing while nobody else wants it. The one that
//! dlmalloc brings along costs as much as finding the memory.

#![allow(unsafe_code)]

use dlmalloc::Dlmalloc;
use std::alloc::{GlobalAlloc, Layout};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// One heap for all threads.
pub struct Allocator(Mutex<Dlmalloc>);

impl Allocator {
    pub const fn new() -> Self {
        Self(Mutex::new(Dlmalloc::new()))
    }

    fn heap(&self) -> MutexGuard<'_, Dlmalloc> {
        // Nothing below panics, and the lock itself takes no memory on Linux.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// Nowhere inlined: taken into every place that needs memory, it makes the program a megabyte larger.
//
// SAFETY: what the heap hands out belongs to one caller until it is given back, and the lock is held meanwhile.
unsafe impl GlobalAlloc for Allocator {
    #[inline(never)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: any size and alignment may be asked for.
        unsafe { self.heap().malloc(layout.size(), layout.align()) }
    }

    #[inline(never)]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        unsafe { self.heap().calloc(layout.size(), layout.align()) }
    }

    #[inline(never)]
    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller says that it came from here with this layout.
        unsafe { self.heap().free(memory, layout.size(), layout.align()) };
    }

    #[inline(never)]
    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above.
        unsafe { self.heap().realloc(memory, layout.size(), layout.align(), size) }
    }
}
