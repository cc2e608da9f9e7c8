"""The gateway: edges translate, commands decide, the relay speaks to rooms."""
