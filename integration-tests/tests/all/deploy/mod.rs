//! What is needed to run it: the doctor.

mod aws;
mod doctor;
