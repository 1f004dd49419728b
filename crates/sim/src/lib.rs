//! A fleet in one thread: hub, members and stores in memory, time that only passes when nothing else happens, and
//! faults that follow from a number.
//!
//! The controllers and the engines are the real ones. What is simulated is what lies outside the process: the API
//! servers (`kurator_apiserver`), the object store ([`stores`]), the ways there ([`wire`]), and the machine that the
//! process runs on, which may die at any write ([`life`]).
//!
//! Faults, deaths, names and pauses follow from the seed, and in a process of its own (`kurator-story`) all else does too:
//! a story that is told again is the same in every byte that is sent and answered.
//!
//! Start reading at [`story`]: what users do, and what must hold at the end whatever happened on the way.

pub mod chance;
pub mod clock;
pub mod history;
pub mod hub;
pub mod life;
pub mod manifests;
pub mod observer;
mod steps;
pub mod stores;
pub mod story;
mod tales;
pub mod user;
pub mod weather;
pub mod wire;
pub mod world;
