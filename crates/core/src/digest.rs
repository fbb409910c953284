//! SHA-256 digests in the one textual form used everywhere: `sha256:` and 64 lower-case hex digits.

use std::io::{self, Read};

use sha2::{Digest, Sha256};

/// The digest of `bytes`.
pub fn sha256(bytes: &[u8]) -> String {
    text(&Sha256::digest(bytes))
}

/// Hands bytes on, and knows the digest of all of them in the end.
#[derive(Debug, Clone)]
pub struct Sha256Reader<R> {
    inner: R,
    state: Sha256,
}

impl<R: Read> Sha256Reader<R> {
    /// Before the first byte of `inner`.
    pub fn new(inner: R) -> Self {
        Self { inner, state: Sha256::new() }
    }

    /// Reads what is left, and says the digest of everything.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn finish(mut self) -> io::Result<String> {
        io::copy(&mut self, &mut io::sink())?;
        Ok(text(&self.state.finalize()))
    }
}

impl<R: Read> Read for Sha256Reader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.state.update(buffer.get(..n).unwrap_or_default());
        Ok(n)
    }
}

fn text(digest: &[u8]) -> String {
    let mut text = String::with_capacity(7 + 64);
    text.push_str("sha256:");
    for byte in digest {
        text.push(char::from_digit(u32::from(byte >> 4), 16).unwrap_or('0'));
        text.push(char::from_digit(u32::from(byte & 15), 16).unwrap_or('0'));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_input_has_the_published_digest() {
        assert_eq!(sha256(b""), "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }

    #[test]
    fn a_reader_has_the_digest_of_everything_however_much_was_read() {
        let content: Vec<u8> = (0..100_000_u32).map(|i| i as u8).collect();
        let mut reader = Sha256Reader::new(content.as_slice());
        let mut start = [0; 1_000];
        reader.read_exact(&mut start).unwrap();
        assert_eq!(start, content[..1_000]);
        assert_eq!(reader.finish().unwrap(), sha256(&content));
    }
}
