# bash .ci/cuda_oldest.sh CLANG CUDA FILE.cu: one file of the CUDA module for the host and for sm_90, by clang's own CUDA compiler
# with the headers, the device library and the assembler of the CUDA in the folder CUDA.
set -euo pipefail
clang=$1 cuda=$2 file=$3
out=$cuda/$(basename "$file" .cu)
options=(-x cuda --cuda-path="$cuda" --cuda-gpu-arch=sm_90 -std=c++17 -O3 -DNDEBUG -DTRIGRAD_VERSION='"0"' -Icsrc -ffp-contract=off
  -Wall -Wextra -Werror -Wno-unknown-pragmas -Wno-deprecated-declarations) # of libstdc++, in its own stable_sort
"$clang" "${options[@]}" --cuda-host-only -fsyntax-only "$file"
"$clang" "${options[@]}" --cuda-device-only -S "$file" -o "$out.ptx"
# The tables of host functions are constants, which this compiler, unlike nvcc, gives to the device too.
sed -i '/^\.visible \.const .*launch_pointwise/d' "$out.ptx"
"$cuda/bin/ptxas" -arch=sm_90 "$out.ptx" -o "$out.cubin"
