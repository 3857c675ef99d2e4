# cmake -DBUILD_DIR= -DSOURCE_DIR= -DWORK_DIR= -DGENERATOR= -DLANGUAGE= -DCOMPILER= -DSTANDARD=
#   -DFLAGS= -DPKG_CONFIG= -DSHARED= -DLIBDIR= -P run.cmake
# Installs the build, then builds and runs the consumer against what was installed, twice: as CMake
# finds it, and by the flags that pkg-config gives.
function(step)
  execute_process(COMMAND ${ARGN} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

file(REMOVE_RECURSE ${WORK_DIR})
step(${CMAKE_COMMAND} --install ${BUILD_DIR} --prefix ${WORK_DIR}/prefix)
step(${CMAKE_COMMAND} -S ${SOURCE_DIR} -B ${WORK_DIR}/build -G ${GENERATOR}
  -DCMAKE_PREFIX_PATH=${WORK_DIR}/prefix
  -DCMAKE_${LANGUAGE}_COMPILER=${COMPILER} "-DCMAKE_${LANGUAGE}_FLAGS=${FLAGS}"
  -DCMAKE_BUILD_TYPE=Release -DCMAKE_FIND_USE_PACKAGE_REGISTRY=OFF)
step(${CMAKE_COMMAND} --build ${WORK_DIR}/build)
step(${WORK_DIR}/build/consumer)

set(ENV{PKG_CONFIG_PATH} ${WORK_DIR}/prefix/${LIBDIR}/pkgconfig)
set(static)
if(LANGUAGE STREQUAL C AND NOT SHARED)
  set(static --static)  # a C compiler does not add the C++ standard library by itself
endif()
execute_process(COMMAND ${PKG_CONFIG} ${static} --cflags --libs warpmeans
  OUTPUT_VARIABLE package_flags OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
separate_arguments(package_flags UNIX_COMMAND "${package_flags}")
separate_arguments(FLAGS UNIX_COMMAND "${FLAGS}")
file(GLOB source ${SOURCE_DIR}/consumer.*)
step(${COMPILER} ${STANDARD} ${FLAGS} ${source} -o ${WORK_DIR}/consumer
  ${package_flags} -Wl,-rpath,${WORK_DIR}/prefix/${LIBDIR})
step(${WORK_DIR}/consumer)
