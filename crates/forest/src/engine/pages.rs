//! Memory for lines, on large pages where the system has them.
//!
//! A row of a large model touches a line in each of hundreds of pages. Where a function has slept since the last row,
//! the processor has to look up every one of those pages in memory before it can ask for the line. Two megabytes a
//! page instead of four kilobytes, and there are two or three to look up: on the machine at hand, a row of a thousand
//! trees took 27 us instead of 44 with all caches empty.
//!
//! On Linux the kernel is asked for them ("madvise", which is how most systems have transparent huge pages set up);
//! where it refuses, nothing is lost. Buffers of less than half of such a page are left alone.
#![expect(unsafe_code, reason = "aligned memory that is not a vector's, and the system call")]

use std::alloc::{Layout, alloc, alloc_zeroed, dealloc, handle_alloc_error};
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
    /// What was allocated; nothing, if its size is 0.
    layout: Layout,
}

// SAFETY: the memory is owned, and reached through borrows of the owner only.
unsafe impl Send for Pages {}
// SAFETY: likewise.
unsafe impl Sync for Pages {}

impl Pages {
    /// So many lines of zeros.
    pub(crate) fn zeroed(len: usize) -> Self {
        let bytes = len.saturating_mul(LINE);
        let (size, align) =
            if bytes < HUGE / 2 { (bytes, LINE) } else { (bytes.next_multiple_of(HUGE), HUGE) };
        let Ok(layout) = Layout::from_size_align(size, align) else {
            handle_alloc_error(Layout::new::<Line>());
        };
        if size == 0 {
            return Self { start: NonNull::dangling(), len: 0, layout };
        }
        // SAFETY: the size is not 0; what is allocated is zeroed before anyone reads it.
        let start = unsafe {
            if align == LINE {
                alloc_zeroed(layout)
            } else {
                let start = alloc(layout);
                if !start.is_null() {
                    ask_for_huge_pages(start, size);
                    start.write_bytes(0, bytes);
                }
                start
            }
        };
        match NonNull::new(start.cast()) {
            Some(start) => Self { start, len, layout },
            None => handle_alloc_error(layout),
        }
    }
}

/// # Safety
/// `size` bytes behind `start`, which is at the start of a large page.
#[cfg(target_os = "linux")]
unsafe fn ask_for_huge_pages(start: *mut u8, size: usize) {
    use std::ffi::{c_int, c_void};
    unsafe extern "C" {
        fn madvise(start: *mut c_void, size: usize, advice: c_int) -> c_int;
    }
    const MADV_HUGEPAGE: c_int = 14;
    // SAFETY: the advice changes the size of pages, not what is in them. A refusal is as good as none.
    let _ = unsafe { madvise(start.cast(), size, MADV_HUGEPAGE) };
}

#[cfg(not(target_os = "linux"))]
unsafe fn ask_for_huge_pages(_start: *mut u8, _size: usize) {}

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
        if self.layout.size() > 0 {
            // SAFETY: allocated with this layout.
            unsafe { dealloc(self.start.as_ptr().cast(), self.layout) };
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
