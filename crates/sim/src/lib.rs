//! A fleet in one thread: hub, members and stores in memory, time that only passes when nothing else happens, and
//! faults that follow from a number.
//!
//! The controllers and the engines are the real ones. What is simulated is what lies outside the process: the API
//! servers (`kurator_apiserver`), the object store ([`stores`]), the ways there ([`wire`]), and the machine that the
//! process runs on, which may die at any write ([`life`]).
//!
//! Faults, deaths, names and pauses follow from the seed. What does not is the order in which tasks get their turn at
//! one and the same instant, where `tokio::select!` and hash maps choose: a story that is told again meets the same
//! faults in the same requests, but not always in the same order.
//!
//! Start reading at [`story`]: what users do, and what must hold at the end whatever happened on the way.

pub mod chance;
pub mod clock;
pub mod history;
pub mod hub;
pub mod life;
pub mod manifests;
pub mod observer;
pub mod stores;
pub mod story;
pub mod user;
pub mod weather;
pub mod wire;
pub mod world;
