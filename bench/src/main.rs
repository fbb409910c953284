//! Compares `crates/forest` with its peers: every engine in one run, on the same rows, one thread on one processor, CPU
//! time, every timed answer held against the trainer's. `bench/README.md` says how to run it and what the figures mean.

mod case;
mod clock;
mod engines;
mod measure;
mod results;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use clap::Parser;

use case::{Case, Precision};
use engines::Libraries;
use measure::{Effort, Measured};
use results::Results;

#[derive(Debug, Parser)]
#[command(about = "Compares crates/forest with its peers")]
struct Arguments {
    /// Models to take
    #[arg(long, value_delimiter = ',', default_value = "xgboost,lightgbm,catboost,random-forest,small")]
    model: Vec<String>,
    /// Engines to take: those whose name has one of these in it (all, if none is given)
    #[arg(long, value_delimiter = ',')]
    engine: Vec<String>,
    /// Rows of a call
    #[arg(long, value_delimiter = ',', default_value = "1,10,100,10000")]
    rows: Vec<usize>,
    /// What to measure
    #[arg(long, value_delimiter = ',', default_value = "warm,evicted,load,contributions")]
    what: Vec<String>,
    /// Fewer rounds
    #[arg(long)]
    quick: bool,
    /// MiB to read through before an evicted row (default: the last-level cache and a quarter, 96 to 768)
    #[arg(long)]
    sweep_mib: Option<usize>,
    /// Where the results go; nowhere, if not given
    #[arg(long)]
    output: Option<PathBuf>,
    /// Folder of the models
    #[arg(long, default_value = "target/bench/models")]
    models: PathBuf,
    /// Virtual environment with the wheels
    #[arg(long, default_value = "target/bench/venv")]
    venv: PathBuf,
    /// Folder of the Python scripts
    #[arg(long, default_value = "bench/python")]
    scripts: PathBuf,
}

impl Arguments {
    /// Whether an engine, or a group of engines, whose names begin with `name` is asked for.
    fn wants(&self, name: &str) -> bool {
        self.engine.is_empty()
            || self.engine.iter().any(|wanted| name.contains(wanted.as_str()) || wanted.starts_with(name))
    }

    fn measures(&self, what: &str) -> bool {
        self.what.iter().any(|wanted| wanted == what)
    }
}

fn main() -> ExitCode {
    // SAFETY: no thread was started yet. These keep the peers from starting any.
    unsafe {
        std::env::set_var("OMP_NUM_THREADS", "1");
        std::env::set_var("RAYON_NUM_THREADS", "1");
    }
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether every answer of our own was right.
fn run(arguments: &Arguments) -> Result<bool> {
    let cpu = clock::pin()?;
    let effort = if arguments.quick { Effort::QUICK } else { Effort::FULL };
    let libraries = libraries(arguments)?;
    let sweep = clock::Sweep::new(if arguments.measures("evicted") { arguments.sweep_mib } else { Some(0) });
    let mut results = Results::new(&libraries, sweep.mib())?;
    println!("processor {cpu}: {}", clock::processor());
    let mut right = true;
    for name in &arguments.model {
        let case = Arc::new(Case::read(&arguments.models, name)?);
        results.model(&case);
        println!("\n{name}: {} trees, {} nodes, {} features", case.n_trees, case.n_nodes, case.n_features);
        let mut engines = engines::engines(&case, &libraries, &|engine| arguments.wants(engine))?;
        engines.retain(|engine| arguments.wants(engine.name()));
        if arguments.measures("warm") {
            for &rows in &arguments.rows {
                let measured = measure::warm(&case, &mut engines, rows, effort)?;
                right &= show(&case, &measured);
                results.add(&case, &measured);
            }
        }
        if arguments.measures("evicted") {
            let measured = measure::evicted(&case, &mut engines, effort, &sweep)?;
            right &= show(&case, &measured);
            results.add(&case, &measured);
        }
        drop(engines);
        tasks(arguments, &case, &libraries, &mut results)?;
    }
    if let Some(path) = &arguments.output {
        results.write(path)?;
        println!("\nwrote {}", path.display());
    }
    Ok(right)
}

/// Loads and contributions.
fn tasks(
    arguments: &Arguments,
    case: &Arc<Case>,
    libraries: &Libraries,
    results: &mut Results,
) -> Result<()> {
    let rounds = if arguments.quick { 3 } else { 11 };
    if arguments.measures("load") {
        let mut loads = engines::loads(case, libraries)?;
        loads.retain(|task| arguments.wants(&task.engine));
        let times = measure::tasks(&mut loads, rounds)?;
        show_tasks("load and first row", &times);
        results.add_loads(case, times);
    }
    if arguments.measures("contributions") {
        let mut contributions = engines::contributions(case, libraries)?;
        contributions.retain(|task| arguments.wants(&task.engine));
        let times = measure::tasks(&mut contributions, 2 * rounds)?;
        show_tasks("contributions of one row", &times);
        results.add_contributions(case, times);
    }
    Ok(())
}

fn libraries(arguments: &Arguments) -> Result<Libraries> {
    let lib = arguments.venv.join("lib");
    let entries = std::fs::read_dir(&lib).with_context(|| format!("no environment at {}", lib.display()))?;
    let packages = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path().join("site-packages")))
        .find(|path| path.is_dir())
        .with_context(|| format!("no site-packages in {}", lib.display()))?;
    let python = arguments.venv.join("bin/python");
    Ok(Libraries { python, packages, scripts: arguments.scripts.clone() })
}

/// Prints the figures, and says whether our answers are the trainer's (forests: within one ulp).
fn show(case: &Case, measured: &[Measured]) -> bool {
    let Some(first) = measured.first() else { return true };
    println!(
        "\n  {} x {} rows, {}: median [minimum] CPU us per row",
        case.name,
        first.rows,
        first.cache.as_str()
    );
    let ours = measured.iter().find(|m| m.engine == "tribunal auto").map(|m| m.median_us);
    let mut right = true;
    for m in measured {
        let answer = if m.worst_ulp == 0 { "exact".to_owned() } else { format!("{} ulp", m.worst_ulp) };
        let ratio = ours.map_or_else(String::new, |ours| format!("{:8.2}x", m.median_us / ours));
        println!("  {:28} {:9.3} [{:9.3}] {ratio}  {answer}", m.engine, m.median_us, m.minimum_us);
        let allowed = u64::from(case.precision == Precision::F64 && case.name == "random-forest");
        if m.engine.starts_with("tribunal") && m.worst_ulp > allowed {
            println!("  ^ wrong: at most {allowed} ulp is allowed");
            right = false;
        }
    }
    right
}

fn show_tasks(what: &str, times: &[(String, f64, f64)]) {
    if times.is_empty() {
        return;
    }
    println!("\n  {what}: median [minimum] CPU ms");
    for (engine, median, minimum) in times {
        println!("  {engine:28} {median:9.3} [{minimum:9.3}]");
    }
}
