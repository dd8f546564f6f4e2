# Where things go: headers, the shared and static library, the command, the pkg-config file, the CMake package.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/include/lorac DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(TARGETS lorac_shared lorac_static DESTINATION ${CMAKE_INSTALL_LIBDIR})
if(TARGET lorac_cli)
  install(TARGETS lorac_cli DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
configure_file(${CMAKE_SOURCE_DIR}/cmake/lorac.pc.in ${CMAKE_BINARY_DIR}/lorac.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/lorac.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
configure_package_config_file(${CMAKE_SOURCE_DIR}/cmake/loracConfig.cmake.in ${CMAKE_BINARY_DIR}/loracConfig.cmake
                              INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/lorac)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/loracConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/loracConfig.cmake ${CMAKE_BINARY_DIR}/loracConfigVersion.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/lorac)
