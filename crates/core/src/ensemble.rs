//! The ensemble definition, and the arithmetic that turns predictions into a risk.
