//! Whole-road scenarios, CLI sessions and interoperation with published third-party tools.
