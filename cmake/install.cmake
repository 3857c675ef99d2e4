# Installs the library, its headers and what find_package(warpmeans) and pkg-config read.
include(CMakePackageConfigHelpers)
set(WARPMEANS_CMAKE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/warpmeans)

target_compile_features(warpmeans PUBLIC cxx_std_20)  # the headers use std::span
set_target_properties(warpmeans PROPERTIES
  VERSION ${PROJECT_VERSION}
  SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
install(TARGETS warpmeans EXPORT warpmeans
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
if(BUILD_SHARED_LIBS AND TARGET warpmeans_cli)
  set_target_properties(warpmeans_cli PROPERTIES INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR}")
endif()
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/warpmeans
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
install(EXPORT warpmeans NAMESPACE warpmeans:: FILE warpmeansTargets.cmake
  DESTINATION ${WARPMEANS_CMAKE_DIR})

# What a C compiler has to be told to link, and a C++ compiler adds by itself.
set(WARPMEANS_CXX_RUNTIME ${CMAKE_CXX_IMPLICIT_LINK_LIBRARIES})
list(FILTER WARPMEANS_CXX_RUNTIME INCLUDE REGEX "^(stdc[+][+]|c[+][+]|m)$")
list(REMOVE_DUPLICATES WARPMEANS_CXX_RUNTIME)

configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/warpmeansConfig.cmake.in
  warpmeansConfig.cmake INSTALL_DESTINATION ${WARPMEANS_CMAKE_DIR})
write_basic_package_version_file(warpmeansConfigVersion.cmake COMPATIBILITY SameMinorVersion)
# Relative, so that `cmake --install --prefix` and moved trees work.
file(RELATIVE_PATH WARPMEANS_PC_TO_PREFIX /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
# A static library's users link what it links, whether or not they ask pkg-config for --static; a
# shared one has it already. The private ones are for C, with --static.
if(NOT BUILD_SHARED_LIBS)
  set(WARPMEANS_PC_LIBS " -pthread")
  set(WARPMEANS_PC_REQUIRES "libhwy >= 1.0.3")
  list(JOIN WARPMEANS_CXX_RUNTIME " -l" WARPMEANS_PC_LIBS_PRIVATE)
  string(PREPEND WARPMEANS_PC_LIBS_PRIVATE "-l")
  if(WARPMEANS_HAS_CUDA)
    string(APPEND WARPMEANS_PC_LIBS " -L${CUDAToolkit_LIBRARY_DIR} -lcudart_static -ldl -lrt")
  endif()
endif()
configure_file(${CMAKE_CURRENT_LIST_DIR}/warpmeans.pc.in warpmeans.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/warpmeansConfig.cmake
  ${CMAKE_CURRENT_BINARY_DIR}/warpmeansConfigVersion.cmake DESTINATION ${WARPMEANS_CMAKE_DIR})
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/warpmeans.pc
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
