//! What a fix is, and what follows from it. Pure: no I/O, no clock, no randomness; moments come in as values.
//!
//! One rider's fixes go through these rooms in this order, over one [`rider::Rider`]:
//! - [`wire`]: a client's JSON becomes a [`fix::Fix`];
//! - [`fix`]: is it one, and is it of use? [`seen`]: was it taken before?
//! - [`jump`]: nobody is here now and a kilometre away in a second;
//! - [`kalman`]: where the rider probably is, and how fast;
//! - [`street`]: on which street that is, for those who look at it;
//! - [`trail`]: what of it is kept;
//! - [`fence`]: arrived, approaching, left; [`delivery`]: what that does to a delivery;
//! - [`eta`]: when it will be there, along [`road`]s if there are any;
//! - [`show`]: who is told now; [`liveness`]: what it says when nothing comes; [`payload`]: in which words;
//! - [`area`]: on which piece of the map.
//!
//! [`record`] is a delivery as it is kept, and [`envelope`] how it is told. [`offer`] is apart: who gets a delivery.
//! [`limits`] has every number.
//!
//! The same fixes at the same moments give the same answers, so that a rider can be rebuilt from them.

pub(crate) mod area;
pub(crate) mod delivery;
pub(crate) mod envelope;
pub(crate) mod eta;
pub(crate) mod fence;
pub(crate) mod fix;
pub(crate) mod jump;
pub(crate) mod kalman;
pub(crate) mod limits;
pub(crate) mod liveness;
pub(crate) mod offer;
pub(crate) mod payload;
pub(crate) mod place;
pub(crate) mod plane;
pub(crate) mod record;
pub(crate) mod rider;
pub(crate) mod road;
pub(crate) mod seen;
pub(crate) mod show;
pub(crate) mod street;
pub(crate) mod trail;
pub(crate) mod wire;
