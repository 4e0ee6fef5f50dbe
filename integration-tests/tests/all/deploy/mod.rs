//! What is needed to run it: the doctor, and the files of `deploy/`.

mod aws;
mod doctor;
mod files;
mod places;
