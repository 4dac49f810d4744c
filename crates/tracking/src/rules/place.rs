//! A place on the earth, as the street map has it.

pub use platepal_roads::Place;
