//! One processor, its clock, and a way to empty its cache.
//!
//! Times are CPU times of the whole process, so that an engine which hands work to another thread pays for it, and a
//! neighbour on the machine does not count.

use std::time::Duration;

use anyhow::{Result, bail};

/// Least memory to read through before a row counts as evicted.
const MIN_SWEEP_MIB: usize = 96;
/// Most of it: a larger last-level cache is shared with other machines.
const MAX_SWEEP_MIB: usize = 768;
const LINE: usize = 64;

/// Binds the process, with all threads that it starts later, to the last processor that it may use.
pub fn pin() -> Result<usize> {
    // SAFETY: an all-zero `cpu_set_t` is the empty set; the calls read and write only `set`, whose size is given, and
    // the index is below `CPU_SETSIZE`.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        let size = size_of::<libc::cpu_set_t>();
        if libc::sched_getaffinity(0, size, &mut set) != 0 {
            return Err(std::io::Error::last_os_error().into());
        }
        let limit = libc::CPU_SETSIZE as usize;
        let Some(cpu) = (0..limit).rev().find(|&cpu| libc::CPU_ISSET(cpu, &set)) else {
            bail!("the process may use no processor");
        };
        libc::CPU_ZERO(&mut set);
        libc::CPU_SET(cpu, &mut set);
        if libc::sched_setaffinity(0, size, &set) != 0 {
            return Err(std::io::Error::last_os_error().into());
        }
        Ok(cpu)
    }
}

/// CPU time of the process so far, all threads.
pub fn cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid `timespec` to write to; this clock exists wherever this program runs.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Memory that is read through to evict everything else from the cache.
pub struct Sweep {
    memory: Vec<u8>,
}

impl Sweep {
    /// As large as the last-level cache and a quarter, within 96 to 768 MiB, unless `mib` says otherwise.
    pub fn new(mib: Option<usize>) -> Self {
        let wanted = (last_level_cache_mib() * 5 / 4).clamp(MIN_SWEEP_MIB, MAX_SWEEP_MIB);
        let len = mib.unwrap_or(wanted) << 20;
        Self { memory: (0..len).map(|i| (i % 251) as u8).collect() }
    }

    /// Size in MiB.
    pub fn mib(&self) -> usize {
        self.memory.len() >> 20
    }

    /// Reads every line of it once.
    pub fn run(&self) {
        let sum = self.memory.iter().step_by(LINE).fold(0_u8, |sum, &byte| sum.wrapping_add(byte));
        std::hint::black_box(sum);
    }

    /// What the clock itself shows when nothing happens between two readings after a sweep.
    pub fn clock_overhead(&self) -> Duration {
        let mut samples: Vec<_> = (0..15)
            .map(|_| {
                self.run();
                cpu_time();
                let start = cpu_time();
                cpu_time() - start
            })
            .collect();
        samples.sort_unstable();
        samples[samples.len() / 2]
    }
}

/// Of processor 0, as the kernel tells it; 0 when it does not.
fn last_level_cache_mib() -> usize {
    (0..8)
        .filter_map(|index| {
            std::fs::read_to_string(format!("/sys/devices/system/cpu/cpu0/cache/index{index}/size")).ok()
        })
        .filter_map(|text| text.trim().strip_suffix('K').and_then(|kib| kib.parse::<usize>().ok()))
        .max()
        .unwrap_or(0)
        / 1024
}

/// The processor's name, as `/proc/cpuinfo` has it.
pub fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        text.lines()
            .find(|line| line.starts_with(name))
            .and_then(|line| line.split_once(": "))
            .map(|(_, value)| value)
    };
    let name = field("model name").unwrap_or("unknown");
    match (field("cpu family"), field("model\t")) {
        (Some(family), Some(model)) => format!("{name}, family {family}, model {model}"),
        _ => name.to_owned(),
    }
}
