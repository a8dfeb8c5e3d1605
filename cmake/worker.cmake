# The Python program of the workers, as a zip archive between the symbols worker_program_zip and
# worker_program_zip_end (src/backend/worker_program.c).
find_program(ONNXD_PYTHON python3 REQUIRED)
enable_language(ASM)

set(onnxd_worker_dir "${CMAKE_SOURCE_DIR}/python")
file(GLOB onnxd_worker_files CONFIGURE_DEPENDS "${onnxd_worker_dir}/__main__.py"
     "${onnxd_worker_dir}/onnxd_worker/*.py")
set(onnxd_worker_zip "${CMAKE_BINARY_DIR}/worker/onnxd_worker.zip")
file(MAKE_DIRECTORY "${CMAKE_BINARY_DIR}/worker")
add_custom_command(
  OUTPUT "${onnxd_worker_zip}" DEPENDS ${onnxd_worker_files} "${CMAKE_SOURCE_DIR}/scripts/pack-worker" VERBATIM
  COMMAND "${ONNXD_PYTHON}" "${CMAKE_SOURCE_DIR}/scripts/pack-worker" "${onnxd_worker_zip}"
  COMMENT "Packing the worker's Python program")
set(onnxd_worker_source "${CMAKE_BINARY_DIR}/worker/worker_program.S")
file(CONFIGURE OUTPUT "${onnxd_worker_source}" @ONLY CONTENT [[
    .section .rodata
    .global worker_program_zip, worker_program_zip_end
worker_program_zip:
    .incbin "@onnxd_worker_zip@"
worker_program_zip_end:
    .byte 0
    .section .note.GNU-stack,"",%progbits
]])
set_source_files_properties("${onnxd_worker_source}" PROPERTIES OBJECT_DEPENDS "${onnxd_worker_zip}")
target_sources(backend PRIVATE "${onnxd_worker_source}")
