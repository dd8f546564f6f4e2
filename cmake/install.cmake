# Where things go: headers, the shared and static library, the command with its manual page and completions,
# the pkg-config file, the CMake package.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/include/lorac DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(TARGETS lorac_shared lorac_static DESTINATION ${CMAKE_INSTALL_LIBDIR})
if(TARGET lorac_cli)
  install(TARGETS lorac_cli DESTINATION ${CMAKE_INSTALL_BINDIR})
  install(FILES ${CMAKE_SOURCE_DIR}/docs/lorac.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
  if(NOT CMAKE_CROSSCOMPILING)
    foreach(completion bash/bash-completion/completions/lorac zsh/zsh/site-functions/_lorac
                       fish/fish/vendor_completions.d/lorac.fish)
      string(REGEX MATCH "^([^/]*)/(.*)$" place ${completion})
      set(shell ${CMAKE_MATCH_1})
      set(place ${CMAKE_MATCH_2})
      set(script ${CMAKE_BINARY_DIR}/completions/${place})
      get_filename_component(folder ${script} DIRECTORY)
      file(MAKE_DIRECTORY ${folder})
      add_custom_command(TARGET lorac_cli POST_BUILD COMMAND lorac_cli completions ${shell} > ${script} VERBATIM)
    endforeach()
    install(DIRECTORY ${CMAKE_BINARY_DIR}/completions/ DESTINATION ${CMAKE_INSTALL_DATADIR})
  endif()
endif()
# The prefix counts from where the file lies, so that cmake --install --prefix may put the whole anywhere.
file(RELATIVE_PATH LORAC_PC_TO_PREFIX ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
string(REGEX REPLACE "/$" "" LORAC_PC_TO_PREFIX ${LORAC_PC_TO_PREFIX})
configure_file(${CMAKE_SOURCE_DIR}/cmake/lorac.pc.in ${CMAKE_BINARY_DIR}/lorac.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/lorac.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
configure_package_config_file(${CMAKE_SOURCE_DIR}/cmake/loracConfig.cmake.in ${CMAKE_BINARY_DIR}/loracConfig.cmake
                              INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/lorac)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/loracConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/loracConfig.cmake ${CMAKE_BINARY_DIR}/loracConfigVersion.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/lorac)
