//! placeholder while the guard is being written
mod config;
mod cors;
mod headers;
mod metadata;
mod metered;
mod routes;
mod upstream;
