//! A sans-IO SMP client: sequence matching, windowed upload, retry, resume.
#![no_std]
