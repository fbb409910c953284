//! The function `dispatch`: wiring.

use std::process::ExitCode;

use tribunal_dispatch::Dispatch;
use tribunal_dispatch::aws::{Queue, StateMachine};
use tribunal_runtime::{Environment, sdk, start};

const STATE_MACHINE_ARN: &str = "TRIBUNAL_STATE_MACHINE_ARN";
const DLQ_URL: &str = "TRIBUNAL_DLQ_URL";

fn main() -> ExitCode {
    start(async || {
        let environment = Environment::read(&[STATE_MACHINE_ARN, DLQ_URL], &[])?;
        let config = sdk::function_config();
        Ok(Dispatch::new(
            StateMachine::new(&config, environment.get(STATE_MACHINE_ARN)),
            Queue::new(&config, environment.get(DLQ_URL)),
        ))
    })
}
