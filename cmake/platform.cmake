# Refuse, with a readable message, what trigrad is not known to be right on. A result's bits depend on the compiler
# doing exactly what the source says, so an unknown compiler or CPU is an error here and not a surprise later.

set(tg_compilers "GCC >= 11, Clang >= 14 or Apple Clang >= 14")
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  set(tg_oldest 11)
elseif(CMAKE_CXX_COMPILER_ID MATCHES "^(Clang|AppleClang)$" AND NOT MSVC)
  set(tg_oldest 14)
else()
  message(FATAL_ERROR "trigrad: unknown C++ compiler '${CMAKE_CXX_COMPILER_ID}' (${CMAKE_CXX_COMPILER}); "
                      "expected ${tg_compilers}. Set CXX to one of them, e.g. CXX=g++ pip install .")
endif()
if(CMAKE_CXX_COMPILER_VERSION VERSION_LESS ${tg_oldest})
  message(FATAL_ERROR "trigrad: ${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION} is too old; "
                      "expected ${tg_compilers}. Set CXX to a newer one, e.g. CXX=g++-12 pip install .")
endif()

set(tg_unsafe "-Ofast|-ffast-math|-funsafe-math-optimizations|-fassociative-math|-freciprocal-math|-ffinite-math-only")
if("${CMAKE_CXX_FLAGS} ${CMAKE_CXX_FLAGS_RELEASE} ${CMAKE_SHARED_LINKER_FLAGS} ${CMAKE_MODULE_LINKER_FLAGS}"
   MATCHES "(${tg_unsafe})")
  message(FATAL_ERROR "trigrad: the compiler flag ${CMAKE_MATCH_1} changes results; remove it from CXXFLAGS or LDFLAGS")
endif()

list(LENGTH CMAKE_OSX_ARCHITECTURES tg_architectures)
if(tg_architectures GREATER 1)
  message(FATAL_ERROR "trigrad: one architecture per build, but CMAKE_OSX_ARCHITECTURES is "
                      "'${CMAKE_OSX_ARCHITECTURES}'; build each alone and join the wheels with delocate-merge")
endif()

# Ask the compiler what it builds for: CMAKE_SYSTEM_PROCESSOR is the host's name, spelt differently everywhere.
include(CheckCXXSourceCompiles)
check_cxx_source_compiles("#if !defined(__x86_64__) || defined(__ILP32__)\n#error\n#endif\nint main() {}" TG_X86_64)
check_cxx_source_compiles("#if !defined(__aarch64__) || defined(__ILP32__) || defined(__AARCH64EB__)\n#error\n#endif\n\
int main() {}" TG_ARM64)
if(NOT TG_X86_64 AND NOT TG_ARM64)
  message(FATAL_ERROR "trigrad: unknown CPU '${CMAKE_SYSTEM_PROCESSOR}'; "
                      "expected 64-bit x86 (x86_64) or little-endian 64-bit Arm (aarch64)")
endif()
