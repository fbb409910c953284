//! The deployment as the command line sees it: its stack, its table of scores, its queues, and what an error
//! of AWS means to a person.

pub(crate) mod explain;
pub(crate) mod queue;
pub(crate) mod scores;
pub(crate) mod stack;
