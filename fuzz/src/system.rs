//! The two things of the operating system that the fuzzer needs and Rust's library lacks.

use std::mem::MaybeUninit;
use std::ptr::null_mut;

/// Bytes of the stack on which signals are handled.
const SIGNAL_STACK: usize = 1 << 18;

/// Processor time of this thread in seconds.
pub(crate) fn thread_seconds() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a `timespec` that outlives the call.
    let status = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(status, 0, "clock_gettime");
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// Has SIGSEGV handled on a stack of its own, so that libFuzzer, which keeps this flag, saves the input that overflows
/// the stack, too. Called before libFuzzer installs its handlers.
pub(crate) fn survive_stack_overflow() {
    let stack = libc::stack_t {
        ss_sp: Box::leak(vec![0_u8; SIGNAL_STACK].into_boxed_slice()).as_mut_ptr().cast(),
        ss_flags: 0,
        ss_size: SIGNAL_STACK,
    };
    // SAFETY: the stack is leaked, so that it outlives the thread, and nothing else uses it.
    let status = unsafe { libc::sigaltstack(&raw const stack, null_mut()) };
    assert_eq!(status, 0, "sigaltstack");
    // SAFETY: a `sigaction` of zero bytes is a sound one: the default action, no flags, no signals blocked.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    action.sa_flags = libc::SA_ONSTACK;
    // SAFETY: the pointer is to a `sigaction` that outlives the call; the default action runs no code of ours.
    let status = unsafe { libc::sigaction(libc::SIGSEGV, &raw const action, null_mut()) };
    assert_eq!(status, 0, "sigaction");
}
