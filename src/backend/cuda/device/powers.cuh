// Powers of two by their bits: what exp2 and a division would give, in an instruction or two.
#pragma once

namespace warpmeans::cuda {

/// 2^exponent, -1022 to 1023.
__device__ __forceinline__ double power_of_two(int exponent) {
  return __hiloint2double((1023 + exponent) << 20, 0);
}

/// 1 / p of a p that is 2^-1022 to 2^1022.
__device__ __forceinline__ double inverse_of_power(double p) {
  return __hiloint2double(0x7FE00000 - __double2hiint(p), 0);
}

}  // namespace warpmeans::cuda
