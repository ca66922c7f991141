package main

func Example() {
	main()
	// Output:
	// sip:bob@example.com got "Hello from sipua" from sip:alice@example.com
	// delivered to bob
}
