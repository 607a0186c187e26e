//! Configuration: what operators write, and the settings it becomes.

pub mod settings;

pub use settings::Settings;
