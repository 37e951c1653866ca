Console.Error.WriteLine("tansu: the broker is not built yet");
return 1;
