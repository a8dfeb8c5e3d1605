add_compile_options(
  -Wall -Wextra -Wshadow -Wconversion -Wsign-conversion -Wvla -Wformat=2 -Wundef
  -Wmissing-prototypes -Wstrict-prototypes -Wcast-qual -Wwrite-strings -Wdouble-promotion
  -Wnull-dereference -Wpointer-arith -Wimplicit-fallthrough)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
  add_compile_options(-Wlogical-op -Wduplicated-cond -Wduplicated-branches)
endif()
if(ONNXD_WERROR)
  add_compile_options(-Werror)
endif()
