//! Files of every format: right ones, damaged ones, hostile ones.

mod chain;
mod hostile;
mod properties;
mod reader;
mod reading;
mod refusals;
mod writer;
