//! A declared query: one SELECT with one variable, whose places become placeholders.
//!
//! ```text
//! SELECT domain, score FROM bad WHERE domain IN (:entities)   ->   ... WHERE domain IN (?,?,?,?)
//! ```
//! The query is the operator's, not an attacker's: it is read to find the variable's places outside texts and comments,
//! and to refuse early what the read-only session would refuse late. Texts are read as MySQL reads them by default
//! (doubled quotes, backslashes). The number of placeholders is a power of two, so that few statements are prepared; the
//! places that are left over take the last value again, which an `IN (...)` does not notice.

use crate::params::{SUBJECTS_PER_REQUEST, Variable};

/// Longest query.
const MAX_QUERY_BYTES: usize = 65_536;
/// Most places of the variable: with the most subjects, still fewer placeholders than the protocol has.
const MAX_PLACES: usize = 16;
/// Words that no query that only reads has; all are reserved, so they name nothing else.
const FORBIDDEN: [&str; 6] = ["INTO", "UPDATE", "DELETE", "INSERT", "LOCK", "PROCEDURE"];

const _: () = assert!(SUBJECTS_PER_REQUEST.next_power_of_two() * MAX_PLACES < u16::MAX as usize);

/// A query and its variable's places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Query {
    variable: Variable,
    /// What stands before, between and after the places.
    pieces: Vec<String>,
}

/// What a query is made of, as far as it matters here.
#[derive(Debug, PartialEq, Eq)]
enum Token<'a> {
    /// A bare word, in upper case.
    Word(String),
    /// A variable, and where it stands.
    Variable(&'a str, usize),
    /// A text or a quoted name.
    Quoted,
    /// Any other character.
    Other(char),
}

impl Query {
    /// Reads a declared query; the error says what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.len() > MAX_QUERY_BYTES {
            return Err(format!("{} bytes, {MAX_QUERY_BYTES} at most", text.len()));
        }
        let tokens = tokens(text)?;
        check_words(&tokens)?;
        let mut found = None;
        let mut pieces = Vec::new();
        let mut from = 0;
        for (index, token) in tokens.iter().enumerate() {
            let Token::Variable(name, at) = token else { continue };
            let variable = Variable::named(name)
                .ok_or_else(|| format!("unknown variable {name}: one of {}", Variable::listed()))?;
            if *found.get_or_insert(variable) != variable {
                return Err(format!("more than one of {}", Variable::listed()));
            }
            if !is_within_in(&tokens, index) {
                return Err(format!("{name} does not stand alone within IN (...)"));
            }
            pieces.push(text.get(from..*at).unwrap_or_default().to_owned());
            from = at + name.len();
        }
        pieces.push(text.get(from..).unwrap_or_default().to_owned());
        if pieces.len() > MAX_PLACES + 1 {
            return Err(format!("{} places of the variable, {MAX_PLACES} at most", pieces.len() - 1));
        }
        let variable = found.ok_or_else(|| format!("none of {}", Variable::listed()))?;
        Ok(Self { variable, pieces })
    }

    /// What it asks for.
    pub(crate) const fn variable(&self) -> Variable {
        self.variable
    }

    /// The statement for so many values, and how many each place takes.
    pub(crate) fn statement(&self, values: usize) -> (String, usize) {
        let width = values.max(1).next_power_of_two();
        let places = vec!["?"; width].join(",");
        (self.pieces.join(&places), width)
    }

    /// How many places the variable has.
    pub(crate) fn places(&self) -> usize {
        self.pieces.len() - 1
    }
}

fn check_words(tokens: &[Token<'_>]) -> Result<(), String> {
    match tokens.iter().find(|token| **token != Token::Other('(')) {
        Some(Token::Word(word)) if word == "SELECT" || word == "WITH" => {}
        _ => return Err("not a SELECT".to_owned()),
    }
    for (index, token) in tokens.iter().enumerate() {
        let Token::Word(word) = token else { continue };
        let before = index.checked_sub(1).and_then(|before| tokens.get(before));
        // A column of a table may have any name after its dot, and INSERT() is also a function of texts.
        let is_name = matches!(before, Some(Token::Other('.')))
            || (word == "INSERT" && tokens.get(index + 1) == Some(&Token::Other('(')));
        if FORBIDDEN.contains(&word.as_str()) && !is_name {
            return Err(format!("{word}: a query only reads"));
        }
    }
    Ok(())
}

fn is_within_in(tokens: &[Token<'_>], at: usize) -> bool {
    let before = |n: usize| at.checked_sub(n).and_then(|index| tokens.get(index));
    before(1) == Some(&Token::Other('('))
        && before(2) == Some(&Token::Word("IN".to_owned()))
        && tokens.get(at + 1) == Some(&Token::Other(')'))
}

fn tokens(text: &str) -> Result<Vec<Token<'_>>, String> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let (token, length) = next_token(rest, at)?;
        tokens.extend(token);
        at += length;
    }
    Ok(tokens)
}

/// The token that `rest` begins with, if it is one, and its bytes.
fn next_token(rest: &str, at: usize) -> Result<(Option<Token<'_>>, usize), String> {
    let first = rest.chars().next().unwrap_or_default();
    let after = rest.get(first.len_utf8()..).unwrap_or_default();
    match first {
        '\'' | '"' | '`' => Ok((Some(Token::Quoted), quoted(rest, first)?)),
        '#' => Ok((None, line(rest))),
        '-' if after.starts_with('-') && !after[1..].starts_with(|c: char| !c.is_whitespace()) => {
            Ok((None, line(rest)))
        }
        '/' if after.starts_with("*!") || after.starts_with("*M!") => {
            Err("a comment that the server would run (/*!...)".to_owned())
        }
        '/' if after.starts_with('*') => match rest.find("*/") {
            Some(end) if end > 1 => Ok((None, end + 2)),
            _ => Err("a comment that does not end".to_owned()),
        },
        ';' => Err("`;`: one statement, without it".to_owned()),
        '?' => Err(format!("`?`: write a variable, one of {}", Variable::listed())),
        '\0' => Err("a NUL character".to_owned()),
        ':' => match word(after) {
            0 => Err("`:` without a name".to_owned()),
            length => Ok((rest.get(..=length).map(|name| Token::Variable(name, at)), 1 + length)),
        },
        c if is_word(c) => {
            let length = word(rest);
            Ok((rest.get(..length).map(|word| Token::Word(word.to_ascii_uppercase())), length))
        }
        c if c.is_whitespace() => Ok((None, c.len_utf8())),
        c => Ok((Some(Token::Other(c)), c.len_utf8())),
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

/// Bytes of the word that a text begins with.
fn word(text: &str) -> usize {
    text.find(|c| !is_word(c)).unwrap_or(text.len())
}

/// Bytes to the end of the line.
fn line(text: &str) -> usize {
    text.find('\n').map_or(text.len(), |end| end + 1)
}

/// Bytes of the quoted text that a text begins with.
fn quoted(text: &str, quote: char) -> Result<usize, String> {
    let mut characters = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = characters.next() {
        if c == '\\' && quote != '`' {
            characters.next();
        } else if c == quote && characters.next_if(|(_, next)| *next == quote).is_none() {
            return Ok(at + 1);
        }
    }
    Err(format!("a text ({quote}) that does not end"))
}
