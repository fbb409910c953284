//! The binary as a person runs it, without a deployment: exit codes, messages, and what goes where.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking; helpers are not seen to be of a test")]

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

fn tribunal(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tribunal"))
        .args(arguments)
        .env_clear()
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "local")
        .env("AWS_SECRET_ACCESS_KEY", "local")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The process may end before it has read anything.
    drop(child.stdin.take().unwrap().write_all(input.as_bytes()));
    child.wait_with_output().unwrap()
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Nothing listens there: port 1 is reserved.
const NOWHERE: &str = "http://127.0.0.1:1";

#[test]
fn help_documents_the_exit_codes_and_every_command_has_help() {
    let help = tribunal(&["--help"], "");
    let text = String::from_utf8(help.stdout.clone()).unwrap();
    assert_eq!(code(&help), Some(0));
    assert!(text.contains("Exit codes:") && text.contains("5  the deployment was not reached"), "{text}");
    let commands: Vec<&str> = text
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  ").filter(|l| !l.starts_with(' ')))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    assert!(commands.len() >= 12, "{commands:?}");
    for command in commands {
        assert_eq!(code(&tribunal(&[command, "--help"], "")), Some(0), "{command}");
    }
}

#[test]
fn wrong_usage_ends_with_2() {
    for arguments in [
        &["no-such-command"][..],
        &["status", "--endpoint-url", "127.0.0.1:4566"],
        &["list", "--since", "yesterday"],
        &["list", "--verdict", "benign"],
        &["list", "--since", "9999w"],
        &["get", "10.0.0.0/8"],
        &["enqueue", "a.com", "--tlp", "purple"],
        &["enqueue", "a.com", "--file", "x"],
        &["watch", "a.com", "--verdict", "malicious"],
        &["score", "--models", "models", "a.com"],
        &["models", "--from", "no-such-folder"],
    ] {
        let output = tribunal(arguments, "");
        assert_eq!(code(&output), Some(2), "{arguments:?}: {}", stderr(&output));
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
}

#[test]
fn an_endpoint_that_is_down_ends_with_5_and_says_what_to_do() {
    for arguments in [
        &["status", "--endpoint-url", NOWHERE][..],
        &["get", "evil.com", "--endpoint-url", NOWHERE],
        &["dlq", "--endpoint-url", NOWHERE],
        &["enqueue", "evil.com", "--endpoint-url", NOWHERE],
    ] {
        let output = tribunal(arguments, "");
        let text = stderr(&output);
        assert_eq!(code(&output), Some(5), "{arguments:?}: {text}");
        assert!(text.contains(NOWHERE) && text.contains("make demo"), "{text}");
    }
}

#[test]
fn the_flag_wins_over_the_endpoint_of_the_environment() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let other = format!("http://{}", listener.local_addr().unwrap());
    let output = Command::new(env!("CARGO_BIN_EXE_tribunal"))
        .args(["status", "--endpoint-url", NOWHERE])
        .env_clear()
        .envs([("AWS_REGION", "eu-west-1"), ("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")])
        .env("AWS_ENDPOINT_URL", other)
        .output()
        .unwrap();
    assert_eq!(code(&output), Some(5));
    assert!(stderr(&output).contains(NOWHERE), "{}", stderr(&output));
    assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "nobody called");
}

#[test]
fn errors_are_json_when_results_are() {
    let output = tribunal(&["--json", "status", "--endpoint-url", NOWHERE], "");
    let error: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(error["error"]["code"], 5);
    assert!(error["error"]["hint"].as_str().unwrap().contains("make demo"));
}

#[test]
fn without_region_or_credentials_the_error_names_what_is_missing() {
    let run = |variables: &[(&str, &str)]| {
        Command::new(env!("CARGO_BIN_EXE_tribunal"))
            .args(["status", "--endpoint-url", NOWHERE])
            .env_clear()
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .envs(variables.iter().copied())
            .output()
            .unwrap()
    };
    let output = run(&[("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")]);
    assert_eq!(code(&output), Some(5));
    assert!(stderr(&output).contains("AWS_REGION"), "{}", stderr(&output));
    let output = run(&[("AWS_REGION", "eu-west-1")]);
    assert_eq!(code(&output), Some(5));
    assert!(stderr(&output).contains("AWS_ACCESS_KEY_ID"), "{}", stderr(&output));
}

#[test]
fn nothing_is_asked_for_when_every_entity_is_refused() {
    // An endpoint that is down would end with 5.
    let output = tribunal(&["score", "10.0.0.0/8", "--endpoint-url", NOWHERE, "--json"], "");
    assert_eq!(code(&output), Some(3), "{}", stderr(&output));
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["refused"][0]["code"], "cidr");
    assert!(stderr(&output).contains("10.0.0.0/8"));
}

#[test]
fn refused_entities_are_named_with_their_line_and_cannot_move_the_cursor() {
    let output = tribunal(&["score", "--endpoint-url", NOWHERE], "# note\nevil.com\u{1b}[2J\n\n10.0.0.0/8\n");
    let text = stderr(&output);
    assert_eq!(code(&output), Some(3), "{text}");
    assert!(
        text.contains("line 2: evil.com\\u{1b}[2J: ") && text.contains("line 4: 10.0.0.0/8: cidr: "),
        "{text}"
    );
    assert!(!text.contains('\u{1b}'));
}

#[test]
fn completions_are_printed_for_every_shell() {
    for shell in ["bash", "zsh", "fish"] {
        let output = tribunal(&["completions", shell], "");
        assert_eq!(code(&output), Some(0));
        assert!(String::from_utf8(output.stdout).unwrap().contains("enqueue"), "{shell}");
    }
}

#[test]
fn a_closed_output_is_no_failure() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tribunal"))
        .args(["completions", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Larger than what a pipe holds would be needed to be sure of the error; closing at once makes it likely,
    // and no order of events may end otherwise.
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(code(&output), Some(0), "{}", stderr(&output));
    assert_eq!(stderr(&output), "");
}

#[test]
fn waiting_for_more_than_can_be_asked_for_is_refused_before_anything_is_sent() {
    let names = |count: usize| (0..count).map(|i| format!("name-{i}.com\n")).collect::<String>();
    let arguments = ["--endpoint-url", NOWHERE, "enqueue", "--wait"];
    let output = tribunal(&arguments, &names(2_001));
    assert_eq!(code(&output), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("--wait takes at most 2000 entities"), "{}", stderr(&output));
    let output = tribunal(&arguments, &names(2_000));
    assert_eq!(code(&output), Some(5), "as many as are allowed get as far as the stack: {}", stderr(&output));
}
