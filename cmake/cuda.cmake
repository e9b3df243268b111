# The CUDA module: csrc/cuda/*.cu, compiled by nvcc into _cuda.so beside the extension. It links nothing of the core, and
# carries the CUDA runtime, so that the package needs no CUDA where it runs but the driver.
file(GLOB TG_CUDA_SOURCES CONFIGURE_DEPENDS csrc/cuda/*.cu)
set(TRIGRAD_CUDA_MINIMUM 12.4)
option(TRIGRAD_CUDA_REPORT "Let the compiler tell each CUDA kernel's registers, stack and spills" OFF)

function(trigrad_find_nvcc)
  if(NOT TRIGRAD_CUDA OR TRIGRAD_SANITIZE) # a sanitizer's runtime is no match for the driver
    set(why "TRIGRAD_CUDA is ${TRIGRAD_CUDA}")
  elseif(NOT TG_X86_64 AND NOT TG_ARM64)
    set(why "no CUDA on this system")
  else()
    find_program(TRIGRAD_NVCC nvcc HINTS ENV CUDACXX ENV CUDA_HOME ENV CUDA_PATH /usr/local/cuda PATH_SUFFIXES bin)
    if(NOT TRIGRAD_NVCC)
      set(why "nvcc is not found: put it into PATH, or name it by CUDACXX")
    else()
      execute_process(COMMAND ${TRIGRAD_NVCC} --version OUTPUT_VARIABLE said ERROR_QUIET)
      string(REGEX MATCH "release ([0-9]+\\.[0-9]+)" said "${said}")
      set(version ${CMAKE_MATCH_1})
      if(NOT version OR version VERSION_LESS TRIGRAD_CUDA_MINIMUM)
        set(why "${TRIGRAD_NVCC} is of CUDA '${version}', ${TRIGRAD_CUDA_MINIMUM} or later is wanted")
      elseif(TRIGRAD_CUDA STREQUAL "AUTO" AND NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
        # For the GPUs that are here. Without one the module would cost many minutes for nothing: who wants it asks for it.
        execute_process(COMMAND nvidia-smi --query-gpu=compute_cap --format=csv,noheader OUTPUT_VARIABLE here ERROR_QUIET)
        string(REGEX MATCHALL "[0-9]+\\.[0-9]" here "${here}")
        list(REMOVE_DUPLICATES here)
        list(TRANSFORM here REPLACE "\\." "")
        if(here)
          set(CMAKE_CUDA_ARCHITECTURES ${here} PARENT_SCOPE)
        else()
          set(why "nvcc is here, but no GPU: TRIGRAD_CUDA=ON builds the module for all kinds")
        endif()
      endif()
    endif()
  endif()
  set(TG_CUDA_VERSION "${version}" PARENT_SCOPE)
  set(TG_CUDA_ABSENT "${why}" PARENT_SCOPE)
endfunction()

trigrad_find_nvcc()
if(TG_CUDA_ABSENT)
  if(TRIGRAD_CUDA AND NOT TRIGRAD_CUDA STREQUAL "AUTO" AND NOT TRIGRAD_SANITIZE)
    message(FATAL_ERROR "TRIGRAD_CUDA is ${TRIGRAD_CUDA}, but ${TG_CUDA_ABSENT}")
  endif()
  message(STATUS "no CUDA module: ${TG_CUDA_ABSENT}")
  return()
endif()

# One code for each family of GPUs, which its later members run too, and PTX of the last for what comes.
if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
  if(TG_CUDA_VERSION VERSION_LESS 12.8)
    set(CMAKE_CUDA_ARCHITECTURES 75-real 80-real 90)
  elseif(TG_CUDA_VERSION VERSION_LESS 13.0)
    set(CMAKE_CUDA_ARCHITECTURES 75-real 80-real 90-real 100-real 120)
  else()
    set(CMAKE_CUDA_ARCHITECTURES 75-real 80-real 90-real 100-real 110-real 120)
  endif()
endif()
set(CMAKE_CUDA_COMPILER ${TRIGRAD_NVCC})
set(CMAKE_CUDA_RUNTIME_LIBRARY Static)
enable_language(CUDA)

add_library(trigrad_cuda MODULE ${TG_CUDA_SOURCES})
set_target_properties(trigrad_cuda PROPERTIES PREFIX "" OUTPUT_NAME _cuda SUFFIX .so CUDA_VISIBILITY_PRESET hidden
                                              CUDA_STANDARD 17) # what every CMake here can ask nvcc for
target_include_directories(trigrad_cuda PRIVATE csrc)
target_compile_definitions(trigrad_cuda PRIVATE TRIGRAD_VERSION="${PROJECT_VERSION}")
target_compile_options(
  trigrad_cuda
  PRIVATE -fmad=false # a product feeds an add through an explicit fma only
          -ftz=false -prec-div=true -prec-sqrt=true # denormals, and quotients and roots rounded correctly
          -Xcompiler=-ffp-contract=off,-Wall,-Wextra,-Wno-unknown-pragmas
          $<$<BOOL:${TRIGRAD_WERROR}>:-Werror=all-warnings>
          $<$<BOOL:${TRIGRAD_CUDA_REPORT}>:--resource-usage>) # for tools/cuda_report.py
target_link_libraries(trigrad_cuda PRIVATE ${CMAKE_DL_LIBS}) # for cuBLASLt, where it is
target_link_options(trigrad_cuda PRIVATE -static-libstdc++ -static-libgcc
                    -Wl,--version-script=${PROJECT_SOURCE_DIR}/csrc/cuda/module.map)
set_target_properties(trigrad_cuda PROPERTIES LINK_DEPENDS ${PROJECT_SOURCE_DIR}/csrc/cuda/module.map)
if(TRIGRAD_PYTHON)
  install(TARGETS trigrad_cuda LIBRARY DESTINATION trigrad)
endif()
