//! The holder against real servers on loopback that misbehave on purpose.
//! Ids name rows of the attack catalogue.

mod discovery;
mod messages;
mod registration;
mod requests;
mod support;
mod tokens;
