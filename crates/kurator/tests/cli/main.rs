//! The verbs, as a person types them, against a hub in this process.

mod creating;
mod hub;
mod looking;
mod waiting;

type Outcome = anyhow::Result<()>;
