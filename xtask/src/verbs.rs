//! One module per verb.

pub(crate) mod bench;
pub(crate) mod binary;
pub(crate) mod check;
pub(crate) mod demo;
pub(crate) mod dist;
pub(crate) mod docs;
pub(crate) mod fuzz;
pub(crate) mod interop;
pub(crate) mod model;
pub(crate) mod mutants;
pub(crate) mod spire;
pub(crate) mod test;
pub(crate) mod vectors;
