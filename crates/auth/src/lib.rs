//! Who somebody is: tokens and API keys become a Principal.
