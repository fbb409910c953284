//! Finds the bytes that a pickled Python object holds, without executing the pickle.
//!
//! A pickle is a program for a stack machine. This one knows every opcode of protocols 0 to 5 and what it
//! does to the stack, but makes no objects: of a value it keeps what is asked for later, which is its class,
//! its text or bytes, and the states of objects. Nothing is imported, called or looked up.
//!
//! [`scan`] gives the class of the whole object and the `handle` of every object of class
//! `xgboost.core.Booster`. Protocols 0 to 2 have no bytes: Python writes them as latin-1 text, and a call
//! that makes bytes of it. `joblib.dump` without compression puts the values of arrays between the opcodes;
//! they are skipped.
//!
//! Hostile input: an opcode takes no time but for its argument, which must be in the file; stack and memo are
//! limited to [`MAX_VALUES`].
//!
//! Source: `Lib/pickletools.py` and `Lib/pickle.py` of CPython 3.13, `numpy_pickle.py` of joblib 1.5.

mod machine;
#[cfg(test)]
mod tests;
mod value;

pub(crate) use machine::scan;
pub(crate) use value::Payload;

/// Most values on the stack, and in the memo: feature names are the most that a model has.
const MAX_VALUES: usize = 1 << 20;

/// What is wrong, and where.
#[derive(Debug)]
pub(crate) struct Fault {
    /// Offset from the start of the file.
    pub(crate) offset: usize,
    pub(crate) reason: String,
}

/// What a pickle holds.
#[derive(Debug)]
pub(crate) struct Found<'a> {
    /// Class of the object, as `module.name`, or what else it is.
    pub(crate) class: String,
    /// Content of each booster, in the order of the file.
    pub(crate) payloads: Vec<Payload<'a>>,
}
