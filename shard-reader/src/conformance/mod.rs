//! What every source must do, as code.
