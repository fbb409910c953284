//! The machine, and whether it did other work at the same time.

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Serialize;

/// How long it is watched while this program waits.
const LOOK: Duration = Duration::from_millis(400);
/// A machine is quiet when others use at most this share of one processor.
const QUIET: f64 = 0.1;

/// What the figures were measured on.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Machine {
    /// The processor's name, as `/proc/cpuinfo` has it.
    processor: String,
    /// The widest vectors that it computes with.
    engine: &'static str,
    processors: usize,
    /// Load of the last minute when the run began.
    load: f64,
    /// Processors that others kept busy, while this program waited: the most of several looks.
    pub(crate) busy: f64,
    /// Whether that is little enough for the figures to count.
    pub(crate) quiet: bool,
}

impl Machine {
    /// In one line.
    pub(crate) fn line(&self) -> String {
        format!("{}, {} processors, {}", self.processor, self.processors, self.engine)
    }
}

/// Watches what others do between the parts of a run.
#[derive(Debug)]
pub(crate) struct Watch {
    machine: Machine,
}

impl Watch {
    pub(crate) fn start() -> Result<Self> {
        let load = std::fs::read_to_string("/proc/loadavg").context("/proc/loadavg")?;
        let load = load.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or_default();
        let processors = std::thread::available_parallelism()?.get();
        let machine =
            Machine { processor: processor(), engine: engine(), processors, load, ..Machine::default() };
        let mut watch = Self { machine };
        watch.look()?;
        Ok(watch)
    }

    /// Waits, and sees how busy the machine is meanwhile.
    pub(crate) fn look(&mut self) -> Result<()> {
        let before = busy_ticks()?;
        std::thread::sleep(LOOK);
        // 100 ticks a second, whatever the kernel counts in itself.
        let busy = (busy_ticks()? - before) as f64 / 100.0 / LOOK.as_secs_f64();
        self.machine.busy = self.machine.busy.max((busy * 100.0).round() / 100.0);
        self.machine.quiet = self.machine.busy <= QUIET;
        Ok(())
    }

    pub(crate) fn machine(self) -> Machine {
        self.machine
    }
}

/// User, nice, system, interrupts and time that the host took, of all processors.
fn busy_ticks() -> Result<u64> {
    let stat = std::fs::read_to_string("/proc/stat").context("/proc/stat")?;
    let first = stat.lines().next().unwrap_or_default();
    let ticks: Vec<u64> = first.split_whitespace().skip(1).filter_map(|field| field.parse().ok()).collect();
    let idle = |place: usize| place == 3 || place == 4;
    Ok(ticks.iter().take(8).enumerate().filter(|(place, _)| !idle(*place)).map(|(_, ticks)| ticks).sum())
}

/// Resident memory of this process.
pub(crate) fn resident_bytes() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.map(|kib| kib << 10).context("no resident memory in /proc/self/status")
}

fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        line.split_once(": ").map(|(_, value)| value)
    };
    let name = field("model name").unwrap_or(std::env::consts::ARCH);
    match (field("cpu family"), field("model\t")) {
        (Some(family), Some(model)) => format!("{name}, family {family}, model {model}"),
        _ => name.to_owned(),
    }
}

#[cfg(target_arch = "x86_64")]
fn engine() -> &'static str {
    if std::arch::is_x86_feature_detected!("avx512f") {
        "AVX-512"
    } else if std::arch::is_x86_feature_detected!("avx2") {
        "AVX2"
    } else {
        "SSE2"
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn engine() -> &'static str {
    std::env::consts::ARCH
}
