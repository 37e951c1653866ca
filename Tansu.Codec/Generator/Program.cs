Console.Error.WriteLine("Nothing to generate yet.");
return 0;
