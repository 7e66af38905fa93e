#!/usr/bin/env bash
# What shellcheck must find: a folder that is removed by an unquoted name.
rm -rf $1/*
