#!/bin/sh
echo "said $*"
