//! The command line as it is written (`arguments`), and what it does by the operator's hand (`operator`).

mod arguments;
mod operator;
