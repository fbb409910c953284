//! Flags that every command takes.

use std::io::IsTerminal as _;

use clap::{Args, ValueEnum};

use crate::output::Screen;

/// When to colour the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

fn endpoint(text: &str) -> Result<String, String> {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://")).unwrap_or_default();
    let host = rest.split('/').next().unwrap_or_default();
    if host.is_empty() || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err("give http:// or https:// and a host, as in http://127.0.0.1:4566".to_owned());
    }
    Ok(text.to_owned())
}

/// Flags that every command takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Globals {
    /// Print JSON, one object per line, instead of tables.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Name of the deployed stack.
    #[arg(long, global = true, env = "TRIBUNAL_STACK", default_value = "Tribunal", value_name = "NAME")]
    pub(crate) stack: String,
    /// Endpoint of every AWS service (a local AWS); AWS_ENDPOINT_URL does the same.
    #[arg(long, global = true, value_name = "URL", value_parser = endpoint)]
    pub(crate) endpoint_url: Option<String>,
    /// When to colour the output.
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    pub(crate) color: Color,
}

impl Globals {
    /// What standard output can show.
    pub(crate) fn screen(&self) -> Screen {
        let terminal = std::io::stdout().is_terminal();
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let color = match self.color {
            Color::Auto => terminal && !plain,
            Color::Always => true,
            Color::Never => false,
        };
        Screen { terminal, color }
    }
}
