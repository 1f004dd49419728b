//! The one door to a cluster.
//!
//! Everything that the project knows of a member cluster or does in it passes through here:
//!
//! - [`kubeconfig`] turns a stranger's bytes into a [`TrustedConfig`](kubeconfig::TrustedConfig), or refuses;
//! - [`connect`] makes clients of it: one HTTP/2 connection, pings, timeouts, no retries of its own;
//! - [`gate`] keeps a process that does not lead from writing, [`lease`] says who leads;
//! - [`member`] watches one cluster and says what is known of it ([`knowledge`], [`cache`]);
//! - [`clock`] is where the time of day comes from, [`causes`] tells what an error says.
//!
//! It knows nothing of fleets, and what it reads in a member is never followed anywhere else.
//! Start reading at [`member::Member`].

pub mod cache;
pub mod causes;
pub mod clock;
pub mod connect;
pub mod gate;
pub mod knowledge;
pub mod kubeconfig;
pub mod lease;
pub mod member;
#[cfg(test)]
mod testing;
