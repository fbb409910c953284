//! Memory for lines, on large pages where the system has them.
//!
//! A row of a large model touches a line in each of hundreds of pages. Where a function has slept since the last row,
//! the processor has to look up every one of those pages in memory before it can ask for the line. Two megabytes a
//! page instead of four kilobytes, and there are two or three to look up: on the machine at hand, a row of a thousand
//! trees took 27 us instead of 44 with all caches empty.
//!
//! On Linux the kernel is asked for them ("madvise", which is how most systems have transparent huge pages set up);
//! where it refuses, nothing is lost. Buffers of less than half of such a page are left alone.
//!
//! The kernel gives memory that is zero already, the allocator does not say whether it does: so a large buffer is
//! mapped, and not written to once more before it is read into. That was a tenth of the time of loading a model.
#![expect(unsafe_code, reason = "aligned memory that is not a vector's, and the system call")]

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use super::lines::{LINE, Line};

/// Bytes of a large page.
const HUGE: usize = 2 << 20;

/// Lines in memory of their own.
pub(crate) struct Pages {
    /// Of `len` initialised lines; dangling if there are none.
    start: NonNull<Line>,
    len: usize,
    memory: Memory,
}

/// Where the memory is from, to which it goes back.
enum Memory {
    None,
    Allocated(Layout),
    #[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
    Mapped(#[expect(dead_code, reason = "gives itself back")] linux::Mapping),
}

// SAFETY: the memory is owned, and reached through borrows of the owner only.
unsafe impl Send for Pages {}
// SAFETY: likewise.
unsafe impl Sync for Pages {}

impl Pages {
    /// So many lines of zeros.
    pub(crate) fn zeroed(len: usize) -> Self {
        let bytes = len.saturating_mul(LINE);
        if bytes == 0 {
            return Self { start: NonNull::dangling(), len: 0, memory: Memory::None };
        }
        #[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
        if bytes >= HUGE / 2
            && let Some((mapping, start)) = linux::Mapping::zeroed(bytes)
        {
            return Self { start, len, memory: Memory::Mapped(mapping) };
        }
        let Ok(layout) = Layout::from_size_align(bytes, LINE) else {
            handle_alloc_error(Layout::new::<Line>());
        };
        // SAFETY: the size is not 0.
        match NonNull::new(unsafe { alloc_zeroed(layout) }.cast()) {
            Some(start) => Self { start, len, memory: Memory::Allocated(layout) },
            None => handle_alloc_error(layout),
        }
    }
}

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod linux {
    use std::ffi::{c_int, c_void};
    use std::ptr::{NonNull, null_mut};

    use super::{HUGE, Line};

    unsafe extern "C" {
        fn mmap(
            start: *mut c_void,
            size: usize,
            protection: c_int,
            flags: c_int,
            file: c_int,
            offset: isize,
        ) -> *mut c_void;
        fn munmap(start: *mut c_void, size: usize) -> c_int;
        fn madvise(start: *mut c_void, size: usize, advice: c_int) -> c_int;
    }
    const PROT_READ: c_int = 1;
    const PROT_WRITE: c_int = 2;
    const MAP_PRIVATE: c_int = 2;
    const MAP_ANONYMOUS: c_int = 0x20;
    const MADV_HUGEPAGE: c_int = 14;

    /// What was mapped.
    pub(super) struct Mapping {
        start: NonNull<c_void>,
        size: usize,
    }

    impl Mapping {
        /// Memory of its own, and in it the start of a large page with that many bytes of zeros behind it, of which
        /// there are some; `None` when the system has no such memory.
        pub(super) fn zeroed(bytes: usize) -> Option<(Self, NonNull<Line>)> {
            // A page more: wherever the mapping starts, an aligned place is in its first large page.
            let used = bytes.checked_next_multiple_of(HUGE)?;
            let size = used.checked_add(HUGE)?;
            // SAFETY: a new mapping, where the kernel likes, of no file.
            let start =
                unsafe { mmap(null_mut(), size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) };
            if start.addr() == usize::MAX {
                return None;
            }
            let mapping = Self { start: NonNull::new(start)?, size };
            // SAFETY: less than a large page further on, and the mapping is one longer than what is used.
            let aligned = unsafe { mapping.start.byte_add(start.addr().wrapping_neg() % HUGE) };
            // SAFETY: within the mapping. The advice changes the size of pages, not what is in them. A refusal is as
            // good as none.
            let _ = unsafe { madvise(aligned.as_ptr(), used, MADV_HUGEPAGE) };
            Some((mapping, aligned.cast()))
        }
    }

    impl Drop for Mapping {
        fn drop(&mut self) {
            // SAFETY: mapped with this size, and given back once.
            let _ = unsafe { munmap(self.start.as_ptr(), self.size) };
        }
    }
}

impl Deref for Pages {
    type Target = [Line];

    fn deref(&self) -> &[Line] {
        // SAFETY: `len` initialised lines from `start`, owned.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl DerefMut for Pages {
    fn deref_mut(&mut self) -> &mut [Line] {
        // SAFETY: as in `deref`, and borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        if let Memory::Allocated(layout) = self.memory {
            // SAFETY: allocated with this layout.
            unsafe { dealloc(self.start.as_ptr().cast(), layout) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_every_size_are_zeroed_aligned_and_writable() {
        let huge = HUGE / LINE;
        for len in [0, 1, huge / 2 - 1, huge / 2, huge, huge + 1] {
            let mut pages = Pages::zeroed(len);
            assert_eq!(pages.len(), len);
            assert!(pages.iter().all(|line| line.0 == [0; LINE]));
            if let Some(last) = pages.last_mut() {
                last.0 = [7; LINE];
            }
            assert_eq!(pages.as_ptr() as usize % LINE, 0);
            assert_eq!(pages.iter().filter(|line| line.0 == [7; LINE]).count(), len.min(1));
        }
    }
}
