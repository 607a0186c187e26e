//! Version 2 of the API is Workspace Sharing: the same use cases in other words, under a stricter rule of who may
//! ask (see [`crate::domain::authority::Rule`]).

pub mod sharing;
pub mod sharing_body;
