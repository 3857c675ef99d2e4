// What the machine's float32 FMA units do when nothing else is in their way: the roofline's roof.
#pragma once

namespace warpmeans::benchmarks {

/// GFLOP/s of `threads` threads running register-resident float32 FMA chains: the best of a few
/// measurements of about 50 ms. An FMA counts as 2.
double fma_peak_gflops(int threads);

/// The instruction set it uses, by Highway's name ("AVX3", "AVX2", ...).
const char* fma_peak_target();

}  // namespace warpmeans::benchmarks
