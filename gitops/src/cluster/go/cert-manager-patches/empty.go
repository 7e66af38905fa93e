package venafi
